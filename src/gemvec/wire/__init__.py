"""Google's JSON exactly: parse leniently, write canonically. Knows the shape of messages and nothing of behaviour.

Each module is one noun of the API. `message.py` holds the one idea: proto3 JSON read field by field, so that a wrong
or unknown field is refused with its path, in Google's words.
"""
