"""From command-line words to a typed config: composition by Hydra, validation by pydantic, help and completion.

Nothing here knows a model, a dataset or a command: a command brings its schema (`genexp.config.compose.Command`).
"""
