import { runProgram } from '../shared/run-program.ts';
import { deploy, render, status, undeploy } from './commands.ts';

await runProgram({
  name: 'deploy',
  description: 'An installation in a cluster.',
  groups: [{ title: 'Commands', commands: [deploy, render, status, undeploy] }],
});
