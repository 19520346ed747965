/** Ctrl-C, or the end that a system asks for: the first tells, the second ends the process. */
export interface Interrupt {
  readonly isAsked: boolean;
  /** Resolves when it is asked for. */
  readonly asked: Promise<void>;
  /** Leaves the signals to whoever had them; idempotent. */
  release(): void;
}

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Takes the signals that end a process. */
export function listenForInterrupt(): Interrupt {
  let isAsked = false;
  let tell = () => {};
  const asked = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const listeners = Object.entries(SIGNALS).map(([signal, status]) => {
    const listener = () => {
      if (isAsked) process.exit(status);
      isAsked = true;
      tell();
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return {
    get isAsked() {
      return isAsked;
    },
    asked,
    release() {
      for (const remove of listeners) remove();
    },
  };
}
