"""The service: the commands' cores put on the store, with who may what, jobs that survive a crash, and an audit."""
