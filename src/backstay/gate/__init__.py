"""Reports to verdict: a policy of rules, decided without looking at anything but the report."""
