/**
 * Milliseconds of the clock that work is measured by: the wall's, or with NEMO_STT_BENCH_CLOCK=cpu the time that this
 * process had a processor, for machines that do something else beside. Everything measured runs on one thread.
 */
export const clockMs =
  process.env.NEMO_STT_BENCH_CLOCK === "cpu"
    ? () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1000;
      }
    : () => performance.now();

/** What `clockMs` measures, for tables. */
export const clockName = process.env.NEMO_STT_BENCH_CLOCK === "cpu" ? "processor time" : "wall time";
