// Reads amazon renditions with aws-transcription-to-vtt: read.js NAME=FILE…, where NAME says what the audio holds.
import { readFileSync } from 'node:fs'
import toVtt from 'aws-transcription-to-vtt'

const seconds = (time) => time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)

for (const argument of process.argv.slice(2)) {
  const [name, path] = argument.split('=')
  const vtt = toVtt(JSON.parse(readFileSync(path, 'utf8')))
  const cues = [...vtt.matchAll(/(\S+) --> (\S+)\n/g)].map((cue) => [seconds(cue[1]), seconds(cue[2])])
  const backwards = cues.filter(([start, end], i) => !(start < end) || (i > 0 && start < cues[i - 1][0]))
  const said = vtt.toLowerCase().replace(/\s+/g, ' ').includes('fellow')
  if (cues.length === 0 || backwards.length > 0 || said === name.includes('silence')) {
    console.error(`${name}: ${JSON.stringify(backwards)}\n${vtt}`)
    process.exit(1)
  }
  console.log(`aws-transcription-to-vtt: ${name}: ${cues.length} cues`)
}
