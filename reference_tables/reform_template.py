"""A reform to fill in: every kind of block with its words, as Chinese comments."""

from __future__ import annotations

REFORM_TEMPLATE = """\
# 改革方案。写好后用 drgdip reform check 校验，用 drgdip simulate --reform 试算。小数都加引号，日期不加引号。
id = "my-reform"
name = "方案名称"
data_level = "local"
statement = "一句话说明：依据、用途"
# policies = ["synthetic-city-drg-rate"]      # 只用于这些政策时写

[[change]]                                    # 可写多个，按次序生效
key = "weight"                                # 政策的任何参数，见 drgdip policy list --parameters
action = "scale"                              # set 设为，scale 乘以，add 加上
value = "1.05"
for = { type = "surgical" }                   # 不写为全部；可写 insurance、tier、hospital、group、list、month、
                                              # mdc、type（surgical、procedure、medical）、groups = ["BR23", "DT19"]
# from = 2026-07-01                           # 可写起止；until 为不再适用的第一天

# [switch]                                    # 换政策、分组方案、权重表
# policy = "synthetic-city-dip"
# scheme = "my-dip-folder"

# [[solve]]                                   # neutral 总额不变，target 达到目标，corridor 升降幅度，shrink 权重收缩
# kind = "neutral"
# key = "base_rate"

# [[growth]]                                  # volume 病例数，price 费用，mix 构成，coding 编码强度，每年
# kind = "volume"
# factor = "1.03"
# years = 3

# [[sweep]]                                   # 一个改动逐值试算
# key = "base_rate"
# start = "0.95"
# stop = "1.05"
# steps = 11
"""
