"""The demo's backstay.toml: budgets, policy and recipe, fixed before anything runs."""

from __future__ import annotations

PROJECT_FILE = """# Written by the demo before anything runs. Budgets and policy are fixed here and never touched again.
version = 1
name = "digits"

[data]
target = "digit"
id = "id"
group = "scan"            # rows of one source scan belong together
features = ["image"]
slices = ["office"]

[train]                   # the recipe of the challenger
encoder = "conv"
objective = "supcon"
epochs = 20
patience = 4
batch_size = 128
dimension = 32

[budget]
false_alarms_per_year = 1.0
labels_per_month = 50

[watch]
window_days = 7
minimum_rows = 100

[labels]
trusted_sources = ["review"]

[retrain]
value_per_error = 5.0     # what a wrongly filed form costs
labels = 1600             # what the reviewer can do at a stretch, outside the standing budget
cost_per_label = 0.25
auto_promote = true       # the demo's policy: the loop may promote what passes the gate

[gate]
minimum_n = 200

[[gate.rules]]
rule = "beats_controls"   # surely no further behind raw-pixel neighbours than this
margin = 0.08

[[gate.rules]]
rule = "better_than_champion"

[[gate.rules]]
rule = "no_slice_worse"
margin = 0.05
"""
