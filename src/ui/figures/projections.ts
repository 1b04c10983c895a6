/** The planes that paths can be drawn in, in words. */
import type { BasisKind } from '../../probe/projection';

export const PROJECTION_NAMES: Record<BasisKind, string> = {
  'joint-pca': 'Joint PCA',
  'layer-pca': 'PCA per layer, aligned',
  plane: 'Question–answer plane',
};

/** @param of whose states, as it stands after “of” */
export function methodOf(kind: BasisKind, of: string): string {
  if (kind === 'layer-pca') return `PCA per layer of ${of}, aligned by Procrustes`;
  return kind === 'plane' ? 'Plane through the question’s and the answer’s centroids' : `Joint PCA of ${of}`;
}
