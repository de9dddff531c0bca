export interface LogOutput {
  write(line: string): void;
  /** Writes what is left. Must be called before the process ends. */
  flush(): void;
}

/**
 * Writes the lines of one turn of the event loop at once: a write to a pipe is a system call that wakes the reader of the log,
 * and costs more than the plan of a review. A process that is killed loses the lines of its last turn at most.
 */
export function createLogOutput(
  stream: { write(text: string): unknown },
  soon: (work: () => void) => unknown = setImmediate,
): LogOutput {
  let lines = '';

  function flush(): void {
    if (lines === '') return;
    const text = lines;
    lines = '';
    stream.write(text);
  }

  return {
    write(line) {
      if (lines === '') soon(flush);
      lines += line;
    },
    flush,
  };
}
