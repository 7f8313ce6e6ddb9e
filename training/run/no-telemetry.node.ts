/**
 * Since 1.29 ONNX Runtime's official builds report models and devices to Microsoft, and leave files in the folder for
 * temporary ones, unless this variable is set before the first session. Nothing that fettle does leaves the machine, so
 * it is set wherever ONNX Runtime may start; who wants the reports sets it to 0.
 *
 * A worker thread has its own copy of `process.env` that native code does not see: import this on the main thread too.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';
