"""From a fresh network to a trained one."""
