"""Labels and other feedback: who says so, whether it is believed, what each may be used for."""
