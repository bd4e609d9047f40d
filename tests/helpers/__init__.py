"""What tests share: small models and trainings, projects in temporary folders, scripts run in other processes."""
