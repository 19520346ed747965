/** Whether a process of this number runs, whoever's it is. */
export function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0); // Asks, and ends nothing.
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
