/*
 * What native code reads from the environment, set before the first session unless the user has set it. A worker thread has its
 * own copy of `process.env` that native code does not see: import this on the main thread too.
 */

/**
 * Since 1.29 ONNX Runtime's official builds report models and devices to Microsoft, and leave files in the folder for
 * temporary ones, unless this variable is set before the first session. Nothing that fettle does leaves the machine, so
 * it is set wherever ONNX Runtime may start; who wants the reports sets it to 0.
 */
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/**
 * On NVIDIA cards since Ampere, cuBLAS and cuDNN multiply float32 as TF32, whose mantissa has 10 bits instead of 23, because ONNX
 * Runtime's CUDA provider lets them (its option `use_tf32`, which onnxruntime-node does not pass on). Gradients here move numbers by
 * products with matrices of zeros and ones, and have to be those of the CPU: 0 forbids it to both libraries; 1 is the user's choice.
 */
process.env.NVIDIA_TF32_OVERRIDE ??= '0';
