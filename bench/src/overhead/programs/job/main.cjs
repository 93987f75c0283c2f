// A job that leaves its input as it is.
const { copyFileSync } = require('node:fs');
const { join } = require('node:path');

copyFileSync(process.argv[2], join(process.env.MORPHEO_OUTPUTS, 'copy'));
