// The report as one HTML file: figures, delay by hour, a map, the worst airports.
import { readFileSync, writeFileSync } from 'node:fs'

const { day, min_flights, late, figures, page } = process.env
const totals = JSON.parse(process.env.totals)
const { hours, airports } = JSON.parse(readFileSync(figures, 'utf8'))

const escape = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`)
const count = n => n.toLocaleString('en-US')
const minutes = n => `${n.toFixed(1)} min`
const percent = share => `${(100 * share).toFixed(1)} %`

// From green over yellow to red, for mean delays of 0 to 40 minutes.
const colour = delay => `hsl(${130 - 130 * Math.min(Math.max(delay / 40, 0), 1)} 65% 45%)`

const ranked = hours.filter(h => h.flights >= 20) // fewer say nothing
const worst = airports
  .filter(a => a.flights >= Number(min_flights))
  .sort((a, b) => b.mean_delay - a.mean_delay || (a.origin < b.origin ? -1 : 1))
  .slice(0, 10)

function tiles() {
  const tile = (value, label) => `<div class="tile"><b>${value}</b><span>${label}</span></div>`
  return [
    tile(count(totals.flights), 'flights'),
    tile(minutes(totals.delay_sum / totals.flights), 'mean delay'),
    tile(percent(totals.late / totals.flights), `more than ${escape(late)} min late`),
    tile(count(totals.airports), 'airports'),
    tile(count(totals.rejected), 'rejected flights'),
    tile(`${totals.files - totals.missing_files} of ${totals.files}`, 'files'),
  ].join('')
}

function byHour() {
  const width = 760, height = 220, left = 40, bottom = 24
  const top = Math.max(10, ...ranked.map(h => h.mean_delay)) * 1.08
  const low = Math.min(0, ...ranked.map(h => h.mean_delay)) * 1.08
  const y = delay => (height - bottom) * (1 - (delay - low) / (top - low))
  const slot = (width - left) / 24
  const lines = [0, 10, 20, 30, 40, 50, 60, 80, 100].filter(v => v < top).map(v =>
    `<line x1="${left}" x2="${width}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 6}" y="${y(v) + 4}" text-anchor="end">${v}</text>`)
  const bars = ranked.map(h => {
    const [a, b] = [y(Math.max(h.mean_delay, 0)), y(Math.min(h.mean_delay, 0))]
    return `<rect x="${left + h.hour * slot + 3}" width="${slot - 6}" y="${a}" height="${Math.max(b - a, 1)}" rx="2" fill="${colour(h.mean_delay)}">` +
      `<title>${h.hour}:00: ${count(h.flights)} flights, ${minutes(h.mean_delay)}</title></rect>`
  })
  const labels = [0, 3, 6, 9, 12, 15, 18, 21].map(h =>
    `<text x="${left + (h + 0.5) * slot}" y="${height - 4}" text-anchor="middle">${h}:00</text>`)
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Mean delay by hour">${lines.join('')}${bars.join('')}${labels.join('')}</svg>`
}

function map() {
  const width = 760, height = 430
  const [west, east, south, north] = [-125.5, -66.5, 24, 49.8] // the mainland
  const dots = airports
    .filter(a => a.lon > west && a.lon < east && a.lat > south && a.lat < north)
    .sort((a, b) => b.flights - a.flights)
    .map(a => {
      const x = width * (a.lon - west) / (east - west)
      const y = height * (north - a.lat) / (north - south)
      return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${(1.5 + Math.sqrt(a.flights) * 0.6).toFixed(1)}" fill="${colour(a.mean_delay)}">` +
        `<title>${escape(a.origin)} ${escape(a.city)}: ${count(a.flights)} flights, ${minutes(a.mean_delay)}</title></circle>`
    })
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Map of the airports">${dots.join('')}</svg>`
}

function table() {
  const most = Math.max(...worst.map(a => a.mean_delay))
  return worst.map(a => `<tr><td><b>${escape(a.origin)}</b></td><td>${escape(a.city ?? '')}, ${escape(a.state ?? '')}</td>
<td class="n">${count(a.flights)}</td><td class="n">${percent(a.late)}</td><td class="n">${count(a.worst)} min</td>
<td class="bar"><i style="width:${(70 * a.mean_delay / most).toFixed(1)}%;background:${colour(a.mean_delay)}"></i>${minutes(a.mean_delay)}</td></tr>`).join('\n')
}

writeFileSync(page, `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flights of ${escape(day)}</title>
<style>
:root { color-scheme: light dark; --ink: #1d2733; --dim: #66717f; --paper: #f5f6f8; --card: #fff; --rule: #e3e6ea }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --dim: #98a3b1; --paper: #14181d; --card: #1d232a; --rule: #303842 } }
body { margin: 0; padding: 2.5rem 1rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
main { max-width: 800px; margin: auto }
h1 { margin: 0 0 1.2rem; font-size: 1.7rem }
h2 { margin: 0 0 .8rem; font-size: 1rem }
section, .tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px }
section { padding: 1.1rem 1.3rem; margin-top: 1rem; overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(115px, 1fr)); gap: .8rem }
.tile { padding: .8rem .9rem }
.tile b { display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums; white-space: nowrap }
.tile span, p, th { color: var(--dim); font-size: .8rem; line-height: 1.3 }
svg { display: block; width: 100%; min-width: 460px }
svg line { stroke: var(--rule) }
svg text { fill: var(--dim); font-size: 11px }
circle { fill-opacity: .75 }
table { width: 100%; border-collapse: collapse }
th { text-align: left; font-weight: 500 }
td, th { padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap }
.n { text-align: right; font-variant-numeric: tabular-nums }
.bar { width: 32%; padding-left: 1rem }
.bar i { display: inline-block; height: .7em; margin-right: .5em; border-radius: 3px }
</style>
<main>
<h1>Flights of ${escape(day)}</h1>
<div class="tiles">${tiles()}</div>
<section><h2>Mean delay by hour of the day, in minutes</h2>${byHour()}</section>
<section><h2>Airports: the more flights the larger, the more delay the redder</h2>${map()}</section>
<section><h2>The ten worst airports with ${escape(min_flights)} flights or more</h2>
<table><tr><th>Airport</th><th></th><th class="n">Flights</th><th class="n">Late</th><th class="n">Longest</th><th class="bar">Mean delay</th></tr>
${table()}
</table></section>
<p>Data: U.S. Bureau of Transportation Statistics, on-time performance, from the npm package vega-datasets.</p>
</main>
</html>
`)
