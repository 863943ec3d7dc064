"""Google's JSON exactly: parse leniently, write canonically. Knows the shape of messages, but no behaviour.

Each module is one noun of the API. The main idea is in `message.py`: proto3 JSON is read field by field, so that a
wrong or unknown field is refused with its path, in Google's words.
"""
