// Preloaded into a process: prints its peak resident memory when it ends.
process.on("exit", () => process.stdout.write(`peakBytes ${process.resourceUsage().maxRSS * 1024}\n`));
