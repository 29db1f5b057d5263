"""The network and all that trains and applies it. Torch only: importable without Spark."""
