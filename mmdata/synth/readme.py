"""The text a release explains itself with; it names no participant."""

README = """\
SYNTHETIC DATA. Nobody in this release exists. It was made by `mm synth ukb`, laid out as UK Biobank lays out its own.

bulk/                 EID_FIELD_INSTANCE_0.zip or .txt; instance 2 is the imaging visit, 3 a repeat visit
    20252             T1: T1/T1_unbiased_brain.nii.gz, T1/T1_brain_mask.nii.gz, T1/transforms/T1_to_MNI_linear.mat
    20253             T2 FLAIR on the T1's grid; about half have a matrix of their own, the others share the T1's
    20250             diffusion: dMRI/dMRI/dti_FA.nii.gz, dti_MD.nii.gz, dMRI/TBSS/FA/dti_FA_to_MNI_affine.mat
    31016             fMRI.Glasser.csv.gz: 360 regions x 490 timepoints, right hemisphere first
    25751             1,485 correlations of 55 components, scaled Fisher z, upper triangle column by column
ukb_synthetic.csv     the table as ukbconv writes it; a tenth more participants than have imaging
w12345_20260101.csv   a withdrawal list
truth.parquet         landmark positions and affines, for tests only: columns are described in mmdata/synth/truth.py

Planted
    age (45 to 82)    ventricles and frontal sulci widen, frontal grey matter thins, FLAIR brightens around the frontal
                      ventricles, FA of the frontal white matter falls (MD rises), one network's connectivity loosens;
                      reaction time, LDL, HbA1c and hypertension rise weakly
    sex               head size, grey matter around the hippocampi (T1), a block of connectivity; weight, body fat, HDL,
                      haemoglobin
    psychology        the items share one latent trait
    All of it is local and differs between people of one age. The back of the brain has the same changes at random,
    whatever the age, and every scan has an arbitrary intensity scale, gamma and tissue contrast, so that neither mean
    intensity nor histogram says much. Scans of one person come at any angle, shift, head size and voxel axis direction.
    One participant, the phantom, shows small round cysts at the landmarks of truth.parquet in all volumes.

Deliberately wrong
    about 6 % of participants lack each of T1, FLAIR, diffusion and connectivity, one missing independently of another
    a FLAIR without a matrix of its own whose T1 is missing cannot be normalised
    one T1 archive holds its members under T1/unusable/ (releases of 8 participants or more)
    one T1 archive is a valid zip whose T1_unbiased_brain.nii.gz ends in the middle
    one participant with imaging is on the withdrawal list, next to one without imaging and one unknown person
    the table has blanks, codes for missing answers (-1, -3) and placeholder dates (1900-01-01, 1902-02-02, 2037-07-07)
"""
