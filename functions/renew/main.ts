import { runCommand } from '../shared/run-command.ts';
import { renew } from './command.ts';

await runCommand('renew', renew);
