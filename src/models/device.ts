/** Which device runs, and why. Pure. */
import { LabError } from '../runtime/errors';
import type { Capabilities, Device } from '../types';

/** @throws LabError 'unsupported-device' when WebGPU was asked for by name and is refused */
export function chooseDevice(asked: Device | undefined, can: Capabilities): { device: Device; reason: string } {
  if (asked === 'wasm') return { device: 'wasm', reason: 'asked for' };
  if (asked === 'webgpu') {
    if (!can.webgpu) throw new LabError('unsupported-device', `WebGPU cannot be used: ${can.webgpuReason}`, 'Choose WASM.');
    return { device: 'webgpu', reason: 'asked for' };
  }
  if (!can.webgpu) return { device: 'wasm', reason: can.webgpuReason ?? 'no WebGPU' };
  // A software adapter emulates a GPU on the CPU, tens of times slower than WASM on that same CPU.
  if (can.adapter && (can.adapter.fallback || /swiftshader|llvmpipe|basic render/i.test(`${can.adapter.architecture} ${can.adapter.description}`)))
    return { device: 'wasm', reason: 'the only WebGPU adapter here is a software one, which is slower than WASM' };
  return { device: 'webgpu', reason: 'WebGPU is available' };
}
