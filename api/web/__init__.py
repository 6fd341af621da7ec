"""Pages for print and for the browser: plain HTML, everything shown is escaped."""
