"""The page about a trained pipeline, or about two revisions of it: one HTML file.

`results.py` reads, `similarity.py` compares characters, `text.py` says it in words and tables,
`charts.py` and `maps.py` describe the charts,
`vega.py` has what draws them, `playground.py` packs the models, and `page.py` puts all of it into
`page.html`, with `style.css` and the scripts. Those of the playground are `models.js`,
which computes, `state.js` for links, `show.js`, `compare.js` for two models, and `page.js`, which
starts it; `sections.js` is for the rest.
"""
