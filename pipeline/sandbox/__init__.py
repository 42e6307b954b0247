"""The local museum: the offline default, speaking the real protocols."""
