"""What tests share: small models and trainings, projects in folders of their own, scripts run in other processes."""
