# Configures and builds SOURCE in BUILD, which makes RESULT; a failure is told in one notice and is no error.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE failed OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(failed ${failed} PARENT_SCOPE)
  set(text "${text}" PARENT_SCOPE)
endfunction()

file(REMOVE ${RESULT}) # one of an earlier build would be installed
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}
  -DCMAKE_CUDA_COMPILER=${CUDA_COMPILER} -DCMAKE_BUILD_TYPE=Release)
if(failed EQUAL 0)
  run(${CMAKE_COMMAND} --build ${BUILD} --config Release)
endif()
if(NOT failed EQUAL 0)
  file(WRITE ${BUILD}/failure.log "${text}")
  message(NOTICE "gpbo: the CUDA library could not be built (${BUILD}/failure.log); "
    "on a GPU torch computes the kernel matrices, slower and with the same results")
endif()
