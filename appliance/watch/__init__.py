"""Seeing what the appliance does: logs, metrics, health. Nothing here holds an identifier of a patient."""
