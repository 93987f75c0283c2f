import { StatementSync, DatabaseSync } from 'node:sqlite';
import diagnostics from 'node:diagnostics_channel';
import fs from 'node:fs';
globalThis.counts = new Map();
const add = (k) => globalThis.counts.set(k, (globalThis.counts.get(k) ?? 0) + 1);
for (const m of ['all', 'run', 'get', 'iterate']) { const f = StatementSync.prototype[m]; StatementSync.prototype[m] = function (...a) { add('SQL ' + this.sourceSQL.replace(/\s+/g, ' ').slice(0, 150)); return f.apply(this, a); }; }
const e = DatabaseSync.prototype.exec; DatabaseSync.prototype.exec = function (s) { add('EXEC ' + s.slice(0, 60)); return e.call(this, s); };
diagnostics.subscribe('undici:request:create', ({ request }) => add('HTTP ' + request.method + ' ' + request.path.replace(/[0-9a-f-]{36}/g, '*').replace(/\?.*/, '')));
for (const m of ['fdatasync', 'fsync']) { const f = fs[m]; fs[m] = function (...a) { add('FS ' + m); return f.apply(this, a); }; }
