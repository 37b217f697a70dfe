"""The local web page: a model file goes in, the HTML report comes out.

See `server` (who may ask for what), `upload` (what happens to a file), `page` (what is shown).
"""
