"""The console: what a browser shows at `/`. `static/` has its pages; `assets.py` reads them for the server.

The pages are plain HTML, CSS and ES modules, one module a page, sent as they are. They call the routes that clients
call; data for the console alone is at `/console/data/`.
"""
