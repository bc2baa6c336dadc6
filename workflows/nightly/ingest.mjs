// One day's flights, as the files a night would bring: a CSV per bucket of
// airports, so that all flights of an airport are in one file. How many buckets
// turn out to have flights is known only afterwards.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const { flights, reader, day } = process.env
const parts = Number(process.env.parts)

const load = path => import(pathToFileURL(join(reader, path)))
const { asyncBufferFromFile, parquetReadObjects } = await load('hyparquet/src/node.js')
const { compressors } = await load('hyparquet-compressors/src/index.js')

const from = new Date(`${day}T00:00:00Z`)
const to = new Date(from.getTime() + 24 * 3600 * 1000)
const rows = await parquetReadObjects({
  file: await asyncBufferFromFile(flights),
  compressors,
  filter: { date: { $gte: from, $lt: to } },
})
if (rows.length === 0) {
  console.error(`no flights on ${day}: the data has 2001-01-01 to 2001-06-30`)
  process.exit(1)
}

const bucket = airport => [...airport].reduce((hash, c) => (hash * 31 + c.charCodeAt(0)) % parts, 0)
const buckets = new Map()
for (const { date, delay, distance, origin, destination } of rows) {
  const key = bucket(origin)
  if (!buckets.has(key)) buckets.set(key, ['date,delay,distance,origin,destination'])
  const time = date.toISOString().slice(0, 19).replace('T', ' ')
  buckets.get(key).push([time, delay, distance, origin, destination].join(','))
}

mkdirSync('drop')
for (const [key, lines] of buckets) {
  writeFileSync(`drop/part-${String(key).padStart(4, '0')}.csv`, lines.join('\n') + '\n')
}
writeFileSync('ingested.json', String(rows.length))
console.log(`${rows.length} flights in ${buckets.size} files`)
