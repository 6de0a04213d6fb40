"""Traffic to alarms: windows, detectors inside one false-alarm budget, estimates that know what they cannot see."""
