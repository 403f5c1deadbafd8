"""The page about a trained pipeline, or about two revisions of it: one HTML file.

`results.py` reads, `charts.py` describes the charts, `playground.py` packs the models, `page.py`
puts all of it into `page.html`, with `style.css`, `models.js` and `page.js`.
"""
