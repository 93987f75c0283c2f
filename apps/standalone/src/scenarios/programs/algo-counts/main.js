// As a job: leaves one more than what the output of a job before had, and ends with the code that it is told.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const [code, before] = process.argv.slice(2);
const outputs = process.env.MORPHEO_OUTPUTS;
const count = before === undefined ? 0 : Number(readFileSync(`${before}/deep/count`, 'utf8'));
mkdirSync(`${outputs}/deep`);
writeFileSync(`${outputs}/deep/count`, String(count + 1));
console.log(`counted to ${count + 1}`);
process.exitCode = Number(code);
