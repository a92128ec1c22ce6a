# Puts what a program prints into a page: cmake -DPAGE=in -DPROGRAM=prog -DOUT=out -P fill.cmake
execute_process(COMMAND ${PROGRAM} --man OUTPUT_VARIABLE KNOBS OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
configure_file(${PAGE} ${OUT} @ONLY)
