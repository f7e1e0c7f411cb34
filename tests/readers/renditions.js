// Reads subtitles with the parser of the WebVTT specification's authors, which lists all errors, and the podcast rendition with
// transcriptator: renditions.js DIRECTORY, which holds `talk.vtt` and `talk.podcast.json`.
import { readFileSync } from 'node:fs'
import webvtt from 'webvtt-parser'
import { convertFile, TranscriptFormat } from 'transcriptator'

const folder = process.argv[2]
const { cues, errors } = new webvtt.WebVTTParser().parse(readFileSync(`${folder}/talk.vtt`, 'utf8'), 'subtitles/captions/descriptions')
const segments = convertFile(readFileSync(`${folder}/talk.podcast.json`, 'utf8'), TranscriptFormat.JSON)
if (errors.length > 0 || cues.length === 0 || segments.length === 0) {
  console.error(errors, cues.length, segments.length)
  process.exit(1)
}
console.log(`webvtt-parser: ${cues.length} cues, no errors; transcriptator: ${segments.length} segments`)
