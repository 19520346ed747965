/** Syllables a second of people who speak at ease. */
const SYLLABLES_A_SEC = 4;
/** Formants of five vowels, in Hz. */
const VOWELS = [
  [730, 1090],
  [270, 2290],
  [300, 870],
  [530, 1840],
  [570, 840],
] as const;

/** Sound with the rhythm and the spectrum of speech, always the same: noise bursts and gliding voiced vowels. */
export function createBabble(sampleRateHz: number, sec: number): Float32Array {
  const sound = new Float32Array(Math.round(sec * sampleRateHz));
  const length = Math.round(sampleRateHz / SYLLABLES_A_SEC);
  let phase = 0;
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let start = 0; start < sound.length; start += length) {
    const [low, high] = VOWELS[Math.floor(random() * VOWELS.length)];
    const pitch = 90 + 80 * random();
    const isPause = random() < 0.15;
    for (let i = 0; i < length && start + i < sound.length && !isPause; i++) {
      const place = i / length;
      phase += (pitch * (1.1 - 0.2 * place)) / sampleRateHz;
      sound[start + i] =
        place < 0.2 ? 0.05 * (random() - 0.5) : vowel(phase, pitch, low, high) * Math.sin(Math.PI * place);
    }
  }
  return sound;
}

/** Harmonics of a voice, louder near two formants. */
function vowel(phase: number, pitch: number, low: number, high: number): number {
  let sum = 0;
  for (let k = 1; k <= 24; k++) {
    const hz = k * pitch;
    const gain = 1 / (1 + ((hz - low) / 120) ** 2) + 0.5 / (1 + ((hz - high) / 180) ** 2);
    sum += gain * Math.sin(2 * Math.PI * k * phase);
  }
  return 0.1 * sum;
}
