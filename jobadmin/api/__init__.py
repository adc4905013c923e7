"""The dashboard for programs: the same filter, rights, redaction, verbs and trail as the pages, in JSON.

`calls` is the one table of what can be asked; addresses, the reading of requests and the OpenAPI document are made from it.
"""
