import { readFile } from 'node:fs/promises';

/** Linux reports process times in 1/100 s. */
const ticksPerSecond = 100;

/** Processor time of a process in seconds, user and system. */
export async function readCpuSeconds(pid: number): Promise<number> {
  const [user, system] = await readTicks(pid, 11);
  return (user + system) / ticksPerSecond;
}

/** Processor time in seconds of this process's children that have ended. */
export async function readChildrenCpuSeconds(): Promise<number> {
  const [user, system] = await readTicks(process.pid, 13);
  return (user + system) / ticksPerSecond;
}

/** Peak memory of a process, as the kernel reports it. */
export async function readPeakMebibytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024);
}

/** Two fields of /proc/PID/stat, counted after the name of the program, which can contain spaces. */
async function readTicks(pid: number, first: number): Promise<readonly [number, number]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [Number(fields[first]), Number(fields[first + 1])];
}
