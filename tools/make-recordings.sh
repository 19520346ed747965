#!/usr/bin/env bash
# Makes the recordings in examples/audio with Debian's flite and sox. The WAV files are committed: this is needed only to
# change them. usage: tools/make-recordings.sh [FOLDER]
set -euo pipefail
out="$(realpath "${1:-"$(dirname "$0")/../examples/audio"}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { # FILE VOICE TEXT: one sentence, 16 kHz, 16 bits
  flite -voice "$2" --setf duration_stretch=1.1 -t "$3" -o "$1"
}

read_aloud() { # FILE VOICE SENTENCE SENTENCE: two sentences with half a second between them
  say first.wav "$2" "$3"
  say second.wav "$2" "$4"
  sox -D first.wav first-padded.wav pad 0 0.5
  sox -D first-padded.wav second.wav "$out/$1"
}

turn() { # CHANNEL START_SEC VOICE TEXT: adds a sentence to a side of the call
  say turn.wav "$3" "$4"
  sox -D turn.wav -r 8000 turn-8k.wav pad "$2" 0
  if [ -f "$1.wav" ]; then
    sox -D -m -v 1 "$1.wav" -v 1 turn-8k.wav mixed.wav
    mv mixed.wav "$1.wav"
  else
    mv turn-8k.wav "$1.wav"
  fi
}

line_noise() { # CHANNEL SEED: the faint hiss of a line over the whole length of the call
  sox -R -n -D -r 8000 -b 16 noise.wav synth 18.5 whitenoise vol 0.003 trim "0.$2"
  sox -D -m -v 1 "$1.wav" -v 1 noise.wav "$1-line.wav"
}

read_aloud morning-rms.wav rms \
  "He said that he would come back to the house in the morning." \
  "It was a long time before any of them spoke again."
read_aloud garden-slt.wav slt \
  "She opened the window and looked out upon the garden." \
  "I do not know what you mean, said the girl, and she began to laugh."

# The agent is on the left, the customer on the right; the customer's second sentence begins before the agent's ends.
turn agent 0.3 rms "Yes, is there anything that I can do for you?"
turn customer 3.4 slt "I can not open the door of the house."
turn agent 6.6 rms "Thank you. I can see it here. He will come to the house in the morning."
turn customer 10.6 slt "I will wait for him in the garden."
turn agent 13.4 rms "Is there anything else that I can do for you?"
turn customer 16.3 slt "It is very kind of you."
line_noise agent 1
line_noise customer 2
sox -D -M agent-line.wav customer-line.wav -e mu-law "$out/call-ulaw-8k.wav"
