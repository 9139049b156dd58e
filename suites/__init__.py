"""The bundled suites: ``pytest --device=auto --pyargs pytest_applesilicon.suites``."""
