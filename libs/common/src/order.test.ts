import test from 'ava';
import { stepRecord } from './order.ts';

test('A step that a clock which was set back has made negative took no time', (t) => {
  t.is(stepRecord.parse({ step: 'train', seconds: -7187 }).seconds, 0);
  t.is(stepRecord.parse({ step: 'train', seconds: 1.5 }).seconds, 1.5);
});
