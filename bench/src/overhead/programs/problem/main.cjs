// The least that the container contract asks of a problem: it hides nothing, and every prediction is as good as any.
const { copyFileSync, readdirSync, statSync, writeFileSync } = require('node:fs');

const [, task, , hidden, , submission] = process.argv.slice(2);
const files = (folder) => readdirSync(folder).filter((name) => statSync(`${folder}/${name}`).isFile());
if (task === 'detarget') {
  for (const name of files(`${hidden}/test`)) {
    copyFileSync(`${hidden}/test/${name}`, `${submission}/test/${name}`);
  }
} else {
  const scores = (folder) => Object.fromEntries(files(folder).map((name) => [name, 1]));
  const performance = {
    perf: 1,
    train_perf: scores(`${submission}/train`),
    test_perf: scores(`${submission}/test`),
  };
  writeFileSync(`${hidden}/perf/performance.json`, JSON.stringify(performance));
}
