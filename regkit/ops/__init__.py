"""The verbs: plan purely, then act."""
