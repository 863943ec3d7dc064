"""Collections and embeddings of gemvec in other programs' frameworks. Each module needs that framework's packages."""
