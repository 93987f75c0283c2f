import { startPlatform } from '../platform.ts';
import { testScenarios } from './conformance.ts';

testScenarios({ start: startPlatform, wallMs: 20_000 });
