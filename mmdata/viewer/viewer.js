"use strict";
// Two pictures that move together: a volume that is chosen, and the mean that it is shown beside.
(() => {
  const SLICES = { axial: 0, coronal: 1, sagittal: 2, planes: 3, depth: 4 };
  const OPTIONS = {
    backColor: [0, 0, 0, 1],
    crosshairColor: [1, 0.6, 0.35, 1],
    crosshairWidthUnit: "mm",
    dragAndDropEnabled: false,
    isCornerOrientationText: true,
    isRadiologicalConvention: false,
    loadingText: "",
    logLevel: "error",
    multiplanarShowRender: 1,
    show3Dcrosshair: true,
  };
  const CROSSHAIR_MM = 0.8;
  const FROM_THE_LEFT = [110, 10];
  const TOGETHER = { "2d": true, "3d": true };
  const element = (id) => document.getElementById(id);
  const { volumes, means } = JSON.parse(element("volumes").textContent);
  const viewers = {};

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  async function addViewer(name) {
    const viewer = new niivue.Niivue(OPTIONS);
    viewer.onLocationChange = (location) => showLocation(name, location);
    await viewer.attachToCanvas(element(name));
    viewers[name] = viewer;
  }

  function showLocation(name, location) {
    const value = location.values[0];
    element(`${name}-value`).textContent = value ? value.value.toFixed(3) : "";
    const [x, y, z] = Array.from(location.mm, (coordinate) => coordinate.toFixed(1));
    element("position").textContent = `Crosshair at ${x}, ${y}, ${z} mm (right, anterior, superior)`;
  }

  async function showPicture(name, text) {
    const viewer = viewers[name];
    while (viewer.volumes.length) viewer.removeVolumeByIndex(0);
    await viewer.loadFromArrayBuffer(bytesOf(text), `${name}.nii.gz`);
    resetContrast(viewer);
    viewer.createOnLocationChange();
  }

  function resetContrast(viewer) {
    Object.assign(viewer.volumes[0], { cal_min: 0, cal_max: 1 });
    viewer.updateGLVolume();
  }

  async function showVolume() {
    const volume = volumes[Number(element("volume").value)];
    const mean = means[volume.modality];
    element("beside").hidden = !mean;
    viewers.one.broadcastTo(mean ? [viewers.mean] : [], TOGETHER); // a picture of nothing cannot follow
    await showPicture("one", volume.picture);
    if (mean) {
      element("mean-title").textContent = `Mean of ${mean.num_averaged} scans`;
      await showPicture("mean", mean.picture);
    }
    showView();
  }

  function showView() {
    for (const viewer of Object.values(viewers)) {
      viewer.setInterpolation(!element("smooth").checked);
      viewer.setCrosshairWidth(element("crosshair").checked ? CROSSHAIR_MM : 0);
      viewer.setSliceType(SLICES[element("view").value]);
    }
  }

  function reset() {
    for (const viewer of Object.values(viewers)) {
      if (!viewer.volumes.length) continue;
      viewer.setPan2Dxyzmm([0, 0, 0, 1]);
      viewer.scene.crosshairPos = [0.5, 0.5, 0.5];
      viewer.setRenderAzimuthElevation(...FROM_THE_LEFT);
      resetContrast(viewer);
      viewer.createOnLocationChange();
    }
  }

  async function begin() {
    volumes.forEach((volume, index) => element("volume").add(new Option(volume.title, index)));
    try {
      await addViewer("one");
      await addViewer("mean");
    } catch {
      element("failure").textContent = "This browser cannot draw volumes: WebGL 2 is switched off or not there.";
      element("failure").hidden = false;
      return;
    }
    viewers.mean.broadcastTo([viewers.one], TOGETHER);
    element("volume").addEventListener("change", showVolume);
    for (const id of ["view", "crosshair", "smooth"]) element(id).addEventListener("change", showView);
    element("reset").addEventListener("click", reset);
    await showVolume();
    reset();
    element("viewer").dataset.ready = "yes";
  }

  const closed = element("viewer").closest("details");
  if (closed) closed.addEventListener("toggle", begin, { once: true });
  else begin();
})();
