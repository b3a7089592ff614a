// @y/websocket-server with y-leveldb, as its own command starts it, on HOST and PORT; YPERSISTENCE is the folder.
import './node_modules/@y/websocket-server/src/server.js'
